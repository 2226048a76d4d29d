/** Reads `/proc/cpuinfo` of any architecture, and what macOS says with `sysctl`. Total: every text has an answer. */

/** A processor. */
export interface Processor {
  readonly model: string | null
  readonly physicalCores: number | null
  /** Hardware threads that the text lists. */
  readonly logicalCores: number | null
  /** Extensions that every core has, by Linux's names, sorted. */
  readonly features: ReadonlyArray<string>
}

/** The extensions that numeric libraries choose code by; the keys are the kernel's names. */
const known: Readonly<Record<string, string>> = {
  // x86
  ...same("sse3", "ssse3", "sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni", "avx_ifma"),
  ...same("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
  ...same("avx512ifma", "avx512vbmi", "avx512_vbmi2", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "avx10"),
  pni: "sse3",
  // ARM: NEON is `neon` to 32-bit kernels and `asimd` to 64-bit ones
  neon: "neon",
  asimd: "neon",
  asimddp: "dotprod",
  asimdhp: "fp16",
  ...same("sve", "sve2", "bf16", "i8mm", "sme", "sme2"),
  // POWER, RISC-V, LoongArch
  ...same("altivec", "vsx", "lsx", "lasx")
}

function same(...names: ReadonlyArray<string>): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, name]))
}

const features = (flags: Iterable<string>): ReadonlyArray<string> => {
  const found = new Set<string>()
  for (const flag of flags) if (Object.hasOwn(known, flag)) found.add(known[flag] ?? flag)
  return [...found].sort()
}

/** Reads `/proc/cpuinfo`. */
export const parseProcessors = (text: string): Processor => {
  let model: string | null = null
  let part: string | null = null
  let listed = 0
  let common: Set<string> | undefined
  const cores = new Set<string>()
  let socket = "0"
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":")
    if (colon < 0) continue
    const key = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (key === "processor" && /^\d+$/.test(value)) listed++
    else if (key === "physical id") socket = value
    else if (key === "core id") cores.add(`${socket} ${value}`)
    else if (key === "model name" || key === "cpu" || key === "uarch") model ??= value === "" ? null : value
    else if (key === "cpu implementer") part = value
    else if (key === "cpu part" && part !== null && !part.includes(" ")) part = `${part} ${value}`
    if (key === "flags" || key === "features" || key === "isa" || key === "cpu") {
      const flags = new Set(value.toLowerCase().split(/[\s,]+/))
      // threads move between cores, so only what all of them have can be used
      common = common === undefined ? flags : new Set([...common].filter((flag) => flags.has(flag)))
    }
  }
  // "ARMv8 Processor rev 0 (v8l)" is said of every core, and says nothing
  const named = model === null || /^ARMv\d Processor/.test(model) ? null : model
  const core = part === null ? undefined : armParts[part.toLowerCase()]
  return {
    model: named ?? core ?? model,
    physicalCores: cores.size > 0 ? cores.size : null,
    logicalCores: listed > 0 ? listed : null,
    features: features(common ?? [])
  }
}

/** Cores by implementer and part, as in util-linux's `lscpu-arm.c` (which has them from Arm's reference manuals). */
const armParts: Readonly<Record<string, string>> = {
  "0x41 0xd03": "Cortex-A53",
  "0x41 0xd05": "Cortex-A55",
  "0x41 0xd07": "Cortex-A57",
  "0x41 0xd08": "Cortex-A72",
  "0x41 0xd09": "Cortex-A73",
  "0x41 0xd0b": "Cortex-A76",
  "0x41 0xd0c": "Neoverse-N1",
  "0x41 0xd40": "Neoverse-V1",
  "0x41 0xd41": "Cortex-A78",
  "0x41 0xd42": "Cortex-A78AE",
  "0x41 0xd49": "Neoverse-N2",
  "0x41 0xd4f": "Neoverse-V2",
  "0x41 0xd84": "Neoverse-V3",
  "0x41 0xd85": "Cortex-X925",
  "0x41 0xd87": "Cortex-A725",
  "0x4e 0x003": "Denver 2",
  "0x4e 0x004": "Carmel",
  "0x61 0x022": "Icestorm",
  "0x61 0x023": "Firestorm",
  "0x61 0x032": "Blizzard-M2",
  "0x61 0x033": "Avalanche-M2",
  "0xc0 0xac3": "Ampere-1",
  "0xc0 0xac4": "Ampere-1a"
}

/** A Mac, as `sysctl hw machdep.cpu` tells. */
export interface Mac extends Processor {
  readonly memoryBytes: number | null
}

/** Names of macOS for the extensions, where they differ by more than case and the dot. */
const macNames: Readonly<Record<string, string>> = {
  "avx1.0": "avx",
  avx1_0: "avx",
  avx2_0: "avx2",
  "sse4.1": "sse4_1",
  "sse4.2": "sse4_2",
  feat_dotprod: "asimddp",
  feat_fp16: "asimdhp",
  neon_fp16: "asimdhp",
  feat_bf16: "bf16",
  feat_i8mm: "i8mm",
  feat_sme: "sme",
  feat_sme2: "sme2",
  arm64: "asimd",
  advsimd: "asimd"
}

/** Reads the output of `sysctl hw machdep.cpu`. */
export const parseSysctl = (text: string): Mac => {
  const values = new Map<string, string>()
  for (const line of text.split("\n")) {
    const [, key, value] = /^([\w.]+): (.*)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) values.set(key, value.trim())
  }
  const flags: Array<string> = []
  const add = (name: string) => flags.push(macNames[name.toLowerCase()] ?? name.toLowerCase())
  for (const [key, value] of values) {
    const name = /^hw\.optional\.(?:arm\.)?(\w+)$/.exec(key)?.[1]
    if (name !== undefined && value === "1") add(name)
  }
  for (const key of ["machdep.cpu.features", "machdep.cpu.leaf7_features"]) {
    for (const name of values.get(key)?.split(/\s+/) ?? []) add(name)
  }
  const integer = (key: string): number | null => {
    const value = values.get(key)
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : null
  }
  return {
    model: values.get("machdep.cpu.brand_string") ?? null,
    physicalCores: integer("hw.physicalcpu"),
    logicalCores: integer("hw.logicalcpu") ?? integer("hw.ncpu"),
    features: features(flags),
    memoryBytes: integer("hw.memsize")
  }
}
