// Processes that end together.

import cluster from "node:cluster";

export function forked(count) {
  for (let number = 0; number < count; number += 1) {
    cluster.fork();
  }
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.on(signal, () => {
      for (const worker of Object.values(cluster.workers)) {
        worker.process.kill("SIGTERM");
      }
    });
  }
}
