/** What a package exports is there: the source, and under `dist` what the build makes of a source that is there. */
import * as fs from "node:fs"
import * as path from "node:path"
import { manifest, packages, root } from "../repository.ts"

/** Export targets that nothing stands behind. */
export const exports = (): ReadonlyArray<string> =>
  packages().flatMap((folder) =>
    Object.entries(manifest(folder).exports ?? {}).flatMap(([name, target]) =>
      Object.entries(typeof target === "string" ? { default: target } : (target ?? {}))
        .filter(([, file]) => !fs.existsSync(path.join(root, folder, sourceOf(file))))
        .map(([condition, file]) => `${folder} exports ${name} (${condition}) as ${file}, which does not exist`)
    )
  )

const sourceOf = (file: string) => file.replace(/^\.\/dist\//, "./src/").replace(/(\.d\.ts|\.js)$/, ".ts")
