/** A parsed JSON value. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject

/**
 * A parsed JSON object. Plain prototype, own members only: look up names that come from
 * outside with `Object.hasOwn`, since `constructor` and its like are inherited.
 */
export interface JsonObject {
  [member: string]: JsonValue
}
