/**
 * The codec: values to MessagePack and back, as `protocol/README.md` says.
 *
 * It is our own because what stands between two languages has to be exact, and what reads a wire has to trust nothing.
 * msgpackr, the fastest of the libraries and the one that the tests compare with, does other things on purpose:
 *
 * - its table of extensions belongs to the process, so that ours and a user's own would overwrite each other's codes;
 * - it writes integers beyond 32 bits as floats and -0 as 0, which Python can tell apart;
 * - it writes lone surrogates as U+FFFD in long strings and as invalid UTF-8 in short ones, without an error;
 * - it renames the key `__proto__` to `__proto_`;
 * - its peer can make it construct RegExp, Error and typed array objects, and define records, whose readers are
 *   compiled with `new Function` from names that the peer chose.
 */
export { type CallbackFunction, type EncodeHooks, Encoder, type EncoderOptions } from "./MessagePackEncoder.ts"
export { type DecodeHooks, Decoder, type DecoderOptions } from "./MessagePackDecoder.ts"
