import { openSnakepit } from "./snakepit.ts"
import { openFloor } from "./floor.ts"
import fs from "node:fs"
const cpuOf = (pid: number) => { const f = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" "); return (Number(f[11]) + Number(f[12])) * 10000 }
const s = await openSnakepit(1); const pid = await s.pid()
const f: any = await (openFloor as any)(1)
for (let k = 0; k < 3; k++) for (const [n, x] of [["snakepit", s], ["floor", f]] as const) {
  await x.inFlight(30000, 256)
  const N = 200000
  const c = process.cpuUsage(), p = n === "snakepit" ? cpuOf(pid) : 0, t = performance.now()
  const r = await x.inFlight(N, 256)
  const c2 = process.cpuUsage(c)
  console.log(n, Math.round(r), "node us/call", ((c2.user + c2.system) / N).toFixed(2), "python us/call", n === "snakepit" ? ((cpuOf(pid) - p) / N).toFixed(2) : "", "wall us", ((performance.now() - t) * 1000 / N).toFixed(2))
}
process.exit(0)
