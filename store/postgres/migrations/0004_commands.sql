-- What commands did, so that a command sent again is not carried out again.
CREATE TABLE IF NOT EXISTS commands (
  run_id      text COLLATE "C" NOT NULL,
  command_id  text COLLATE "C" NOT NULL,
  fingerprint bytea  NOT NULL,
  seq         bigint NOT NULL,
  PRIMARY KEY (run_id, command_id)
);
