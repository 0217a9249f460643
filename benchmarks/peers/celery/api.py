"""The API: coroutines with a pool of connections to Postgres; the task is sent by the coroutine itself."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID, uuid4

from fastapi import FastAPI, HTTPException, Response
from psycopg.rows import dict_row
from psycopg.types.json import Json
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel
from tasks import nothing

TASKS = {"NOTHING": nothing}

pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=4,
    max_size=16,
    open=False,
    kwargs={"autocommit": True, "row_factory": dict_row},
)


class Payload(BaseModel):
    n: int
    text: str


class NewJob(BaseModel):
    type: Literal["NOTHING"]
    payload: Payload


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await pool.open()
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/jobs", status_code=201)
async def submit(new: NewJob, response: Response) -> dict[str, Any]:
    job_id = uuid4()
    payload = new.payload.model_dump()
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "INSERT INTO jobs (id, type, status, payload) VALUES (%s, %s, 'queued', %s)"
            " RETURNING id, type, status, payload, created_at",
            (job_id, new.type, Json(payload)),
        )
        job = await cursor.fetchone()
    TASKS[new.type].apply_async(kwargs=payload, task_id=str(job_id))
    response.headers["Location"] = f"/jobs/{job_id}"
    return job


@app.get("/jobs/{job_id}")
async def show(job_id: UUID) -> dict[str, Any]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT id, type, status, payload, result, error, created_at, started_at, finished_at"
            " FROM jobs WHERE id = %s",
            (job_id,),
        )
        job = await cursor.fetchone()
    if job is None:
        raise HTTPException(404, "There is no such job.")
    return job
