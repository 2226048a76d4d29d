/** Package registries are reached through their clients' settings: no file says where packages are downloaded from. */
import { files, read } from "../repository.ts"

const HOST = /\b(registry\.[\w-]+\.(org|com|dev|io)|pypi\.(org|io)|pythonhosted\.\w+)\b/

/** Lines that name a registry's host, and lock file entries with an address. */
export const hosts = (): ReadonlyArray<string> =>
  files()
    .filter((file) => !/\.(bin|png|npy|arrow)$/.test(file))
    .flatMap((file) =>
      read(file)
        .split("\n")
        .flatMap((line, index) => {
          const found = HOST.exec(line)?.[0] ?? /"resolved": "\w+:\/\/[^"]*/.exec(line)?.[0]
          return found === undefined ? [] : [`${file}:${index + 1} names ${found}`]
        })
    )
