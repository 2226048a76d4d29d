/**
 * The Python that runs the floor and the peers' scripts: the one Snakepit's workers run on, so that only what lies
 * between the two languages differs. `main.ts` names that of the development environment, unless the user has named another.
 */
export const interpreter = (): string => process.env["SNAKEPIT_BENCH_PYTHON"] ?? "python3"
