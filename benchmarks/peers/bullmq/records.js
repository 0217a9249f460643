// The row of a job in Postgres: written when it is accepted, changed as it starts and as it ends.

import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });

export async function accepted(id, type, payload) {
  const { rows } = await pool.query(
    `INSERT INTO jobs (id, type, status, payload) VALUES ($1, $2, 'queued', $3)
     RETURNING id, type, status, payload, created_at`,
    [id, type, payload],
  );
  return rows[0];
}

export async function found(id) {
  const { rows } = await pool.query(
    `SELECT id, type, status, payload, result, error, created_at, started_at, finished_at FROM jobs WHERE id = $1`,
    [id],
  );
  return rows[0];
}

export async function started(id) {
  await pool.query(`UPDATE jobs SET status = 'running', started_at = now() WHERE id = $1`, [id]);
}

export async function completed(id, result) {
  await pool.query(`UPDATE jobs SET status = 'completed', result = $2, finished_at = now() WHERE id = $1`, [
    id,
    JSON.stringify(result ?? null),
  ]);
}

export async function failed(id, error) {
  await pool.query(`UPDATE jobs SET status = 'failed', error = $2, finished_at = now() WHERE id = $1`, [
    id,
    String(error?.stack ?? error),
  ]);
}

export async function close() {
  await pool.end();
}
