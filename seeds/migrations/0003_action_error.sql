-- An action that cannot be done ends, and says why.

BEGIN;

ALTER TABLE actions ADD COLUMN error text;

INSERT INTO schema_migrations (version) VALUES (3);

COMMIT;
