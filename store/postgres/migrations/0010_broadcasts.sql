-- Broadcasts that are kept for later waits. The mailbox is a slash and the key.
CREATE TABLE IF NOT EXISTS broadcasts (
  mailbox  text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  mail_key text    NOT NULL,
  payload  text,
  at       bigint  NOT NULL, -- the sender's time
  until    bigint  NOT NULL,
  sent_at  bigint  NOT NULL, -- by the server's clock
  ord      integer NOT NULL, -- place in the group of commits
  told     boolean NOT NULL, -- whether waits that were opened meanwhile have their copies
  PRIMARY KEY (mailbox, id)
);

CREATE INDEX IF NOT EXISTS broadcasts_at ON broadcasts (mailbox, at);
CREATE INDEX IF NOT EXISTS broadcasts_until ON broadcasts (until);
CREATE INDEX IF NOT EXISTS broadcasts_untold ON broadcasts (sent_at) WHERE NOT told;

-- since: of which broadcasts that are kept the wait takes a copy; null for none.
-- moment: the time of the commit that opened it.
ALTER TABLE waits
  ADD COLUMN IF NOT EXISTS since bigint,
  ADD COLUMN IF NOT EXISTS moment bigint;

-- What a run can take depends on keys; the order is that within one.
CREATE INDEX IF NOT EXISTS mail_waiting ON mail (mailbox, mail_key COLLATE "C", sent_at, ord) WHERE NOT taken;
DROP INDEX IF EXISTS mail_open;
