// The API: two processes that share a port.

import cluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { Queue } from "bullmq";
import express from "express";
import { z } from "zod";

import { accepted, found } from "./records.js";
import { forked } from "./forked.js";

const NewJob = z.object({
  type: z.literal("NOTHING"),
  payload: z.object({ n: z.int(), text: z.string() }),
});
const JobId = z.uuid();

function serve() {
  const queue = new Queue("jobs", {
    connection: { url: process.env.REDIS_URL },
    defaultJobOptions: {
      attempts: 3,
      backoff: { type: "exponential", delay: 1000 },
      removeOnComplete: true,
      removeOnFail: 1000,
    },
  });
  const app = express();
  app.disable("x-powered-by");
  app.use(express.json());

  app.get("/ready", (request, response) => {
    response.json({ status: "ready" });
  });

  app.post("/jobs", async (request, response) => {
    const checked = NewJob.safeParse(request.body);
    if (!checked.success) {
      response.status(422).json({ errors: checked.error.issues });
      return;
    }
    const { type, payload } = checked.data;
    const id = randomUUID();
    const job = await accepted(id, type, payload);
    await queue.add(type, payload, { jobId: id });
    response.status(201).location(`/jobs/${id}`).json(job);
  });

  app.get("/jobs/:id", async (request, response) => {
    const job = JobId.safeParse(request.params.id).success && (await found(request.params.id));
    if (!job) {
      response.status(404).json({ error: "There is no such job." });
      return;
    }
    response.json(job);
  });

  app.use((error, request, response, next) => {
    response.status(error.status ?? 500).json({ error: error.message });
  });

  app.listen(Number(process.env.PORT), "127.0.0.1");
}

if (cluster.isPrimary) {
  forked(2);
} else {
  serve();
}
