/**
 * What can go wrong: {@link DetectionFailed} inside a detector, {@link DeviceUnavailable} when a device is asked for.
 *
 * A detector that fails does not fail detection: its failure stands among the `problems` of `HardwareInfo`.
 */
import * as Schema from "effect/Schema"
import { Problem } from "./HardwareInfo.ts"

/** There are signs of a kind of hardware, and it could not be read. */
export class DetectionFailed extends Schema.TaggedError<DetectionFailed>("@snakepit/hardware/DetectionFailed")(
  "DetectionFailed",
  { detector: Problem.fields.detector, reason: Problem.fields.reason, detail: Schema.String }
) {
  /** What helps. */
  get remedy(): string {
    return remedies[this.reason]
  }

  get problem(): Problem {
    return { detector: this.detector, reason: this.reason, detail: this.detail, remedy: this.remedy }
  }

  override get message() {
    return `${this.detector} devices could not be detected (${this.reason}): ${this.detail}. ${this.remedy}`
  }
}

const remedies: Record<Problem["reason"], string> = {
  driver_mismatch: "The driver was updated while its kernel module was loaded: reboot, or reload the module.",
  driver_not_loaded:
    "Install the driver, or load its kernel module; in a container, start it with the GPUs passed through.",
  access_blocked:
    "Give this user or container access to the device files (groups `video` and `render`, `--gpus` or `--device`); under WSL, use the driver of Windows.",
  device_lost: "A GPU does not answer any more: reset it or reboot, and look into the kernel's log.",
  no_devices:
    "The driver is there and sees no device: check that it is seated, powered, and passed through to this machine.",
  timed_out: "The vendor's tool hangs, as it does when a GPU is stuck: reset the GPU or reboot.",
  unreadable_output: "The vendor's tool printed what is not understood: update it, or report its output.",
  command_failed: "Run the command by hand to see more."
}

/** No device fits what was asked for. */
export class DeviceUnavailable extends Schema.TaggedError<DeviceUnavailable>("@snakepit/hardware/DeviceUnavailable")(
  "DeviceUnavailable",
  {
    /** What was asked for, in order of preference. */
    wanted: Schema.Array(Schema.String),
    /** Why each device that was looked at did not do. */
    refused: Schema.Array(Schema.Struct({ device: Schema.String, why: Schema.String })),
    /** The devices that there are. */
    available: Schema.Array(Schema.String),
    problems: Schema.Array(Problem)
  }
) {
  override get message() {
    const refused = this.refused.map(({ device, why }) => `\n  - ${device}: ${why}`).join("")
    const problems = this.problems
      .map(({ detail, detector, remedy }) => `\n  - ${detector}: ${detail}. ${remedy}`)
      .join("")
    return (
      `No device fits ${this.wanted.map((device) => `"${device}"`).join(", ")}; ` +
      `this machine has ${this.available.join(", ")}${refused}${problems}`
    )
  }
}
