/** Loaded before a program, hides the package `koffi` from it, as if its binary were not for this platform. */
import { registerHooks } from "node:module"

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "koffi") throw new Error("Cannot find module 'koffi'")
    return next(specifier, context)
  }
})
