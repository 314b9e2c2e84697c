-- Messages. The mailbox is the id of a run, or a slash, which ids do not have,
-- and a key. A message that was taken stays, without payload, so that one with its
-- id is not delivered again.
CREATE TABLE IF NOT EXISTS mail (
  mailbox  text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  mail_key text    NOT NULL,
  payload  text,
  at       bigint  NOT NULL, -- the sender's time
  sent_at  bigint  NOT NULL, -- by the server's clock: the order within a mailbox,
  ord      integer NOT NULL, -- with the place in the group of commits
  told     boolean NOT NULL, -- whether the runs concerned know
  taken    boolean NOT NULL,
  PRIMARY KEY (mailbox, id)
);

CREATE INDEX IF NOT EXISTS mail_open ON mail (mailbox, sent_at, ord) WHERE NOT taken;
CREATE INDEX IF NOT EXISTS mail_untold ON mail (sent_at) WHERE NOT told;
