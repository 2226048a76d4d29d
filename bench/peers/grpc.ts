/** gRPC: `@grpc/grpc-js` calling a unary method of an asyncio `grpcio` server over the loopback interface. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { fromCall, type Subject } from "../subject.ts"
import { peersPython } from "./install.ts"
import { grpc, protoLoader } from "./modules.ts"

export const openGrpc = async (): Promise<Subject> => {
  const { credentials, loadPackageDefinition } = grpc()
  const definition = protoLoader().loadSync(fileURLToPath(new URL("math.proto", import.meta.url)), { defaults: true })
  const { snakepit } = loadPackageDefinition(definition)

  const script = fileURLToPath(new URL("grpc_server.py", import.meta.url))
  const server = spawn(peersPython, [script], { stdio: ["pipe", "pipe", "inherit"] })
  const exited = once(server, "exit")
  const first = await Promise.race([once(server.stdout, "data"), exited.then(() => undefined)])
  if (first === undefined) throw new Error(`the grpcio server ended with code ${server.exitCode} before it listened`)
  const client = new snakepit.bench.Math(`127.0.0.1:${String(first[0]).trim()}`, credentials.createInsecure())

  const call = (x: number) =>
    new Promise<number>((resolve, reject) => {
      client.Sqrt({ value: x }, (error, reply) => (error === null ? resolve(reply.value) : reject(error)))
    })
  return fromCall("grpc-js with grpcio", call, async () => {
    client.close()
    server.stdin.end()
    await exited
  })
}
