import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"

const conditions = ["snakepit-source"]

export default defineConfig({
  // The packages are tested from their sources, not from a build.
  ssr: { resolve: { conditions: [...conditions, ...defaultServerConditions], externalConditions: conditions } },
  environments: { __vitest__: { resolve: { conditions: [...conditions, ...defaultServerConditions] } } },
  test: {
    globalSetup: "scripts/testEnvironment.ts",
    projects: [
      { extends: true, test: { name: "core", include: ["packages/core/test/**/*.test.ts"] } },
      { extends: true, test: { name: "zero-copy", include: ["packages/zero-copy/test/**/*.test.ts"] } },
      { extends: true, test: { name: "hardware", include: ["packages/hardware/test/**/*.test.ts"] } },
      { extends: true, test: { name: "python-worker", include: ["packages/python-worker/test/**/*.test.ts"] } },
      { extends: true, test: { name: "cli", include: ["packages/cli/test/**/*.test.ts"] } },
      { extends: true, test: { name: "integration", include: ["test/**/*.test.ts", "bench/test/**/*.test.ts"] } }
    ],
    // Nothing may hang: every test and hook has a deadline, and none gets a second try.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    retry: 0,
    // Two processes at a time: the tests start Python processes of their own.
    maxWorkers: 2,
    execArgv: ["--conditions=snakepit-source"],
    passWithNoTests: true
  }
})
