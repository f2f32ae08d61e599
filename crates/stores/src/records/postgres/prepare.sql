SELECT set_config('synchronous_commit', 'on', false)
  WHERE current_setting('synchronous_commit') = 'off';
DO $$
BEGIN
  IF to_regclass('watertight_records') IS NULL THEN
    PERFORM pg_advisory_xact_lock(8391162081074443875);
    CREATE TABLE IF NOT EXISTS watertight_records (
      "table" text COLLATE "C" NOT NULL,
      key text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      value bytea NOT NULL,
      PRIMARY KEY ("table", key)
    );
  END IF;
END
$$;
