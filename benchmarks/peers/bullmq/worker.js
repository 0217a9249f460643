// The worker: two processes, each with 64 jobs at a time.

import cluster from "node:cluster";
import { Worker } from "bullmq";

import { forked } from "./forked.js";
import { close, completed, failed, started } from "./records.js";

const handlers = {
  NOTHING: async () => null,
};

async function work() {
  const worker = new Worker(
    "jobs",
    async (job) => {
      await started(job.id);
      const result = await handlers[job.name](job.data);
      await completed(job.id, result);
    },
    { connection: { url: process.env.REDIS_URL }, concurrency: 64 },
  );
  worker.on("failed", async (job, error) => {
    if (job && job.attemptsMade >= (job.opts.attempts ?? 1)) {
      await failed(job.id, error);
    }
  });
  worker.on("error", (error) => console.error(error));
  process.on("SIGTERM", async () => {
    await worker.close();
    await close();
    process.exit(0);
  });
  await worker.waitUntilReady();
  console.log("worker ready");
}

if (cluster.isPrimary) {
  forked(2);
} else {
  await work();
}
