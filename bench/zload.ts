import { openSnakepit } from "./snakepit.ts"
const s = await openSnakepit(1)
for (let i = 0; i < 8; i++) console.log("c256", Math.round(await s.inFlight(200000, 256)))
process.exit(0)
