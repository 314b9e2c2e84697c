-- To find all messages of a run that is deleted, those taken included.
CREATE INDEX messages_box ON messages (mailbox) WHERE direct = 1;
