-- Workers, and until when each said to be alive; 0 for one that never said so.
CREATE TABLE IF NOT EXISTS owners (
  owner       text COLLATE "C" NOT NULL PRIMARY KEY,
  alive_until bigint NOT NULL
);
