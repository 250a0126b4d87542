import type { Codec } from '#lib/protobuf'
import type { CallOptions, TtrpcClient } from './client.ts'
import type { CallContext, Handler, Handlers } from './server.ts'

/** A unary method: its wire name and its message types. */
export interface Method<I, O> {
  readonly name: string
  readonly input: Codec<I>
  readonly output: Codec<O>
}

/** Any set of methods. */
export type Methods = Readonly<Record<string, Method<unknown, unknown>>>

/** A service: its full proto name and its methods. */
export interface Service<M extends Methods> {
  readonly name: string
  readonly methods: M
}

/** A function for each method, for calling. */
export type ServiceClient<M extends Methods> = {
  readonly [K in keyof M]: M[K] extends Method<infer I, infer O>
    ? (input: I, options?: CallOptions) => Promise<O>
    : never
}

/** A function for each method, for answering. */
export type ServiceHandlers<M extends Methods> = {
  readonly [K in keyof M]: M[K] extends Method<infer I, infer O>
    ? (input: I, context: CallContext) => Promise<O>
    : never
}

/**
 * Typed calls of a service. `fromError` may turn a `TtrpcError` into an error of the caller's own;
 * without it, `TtrpcError` is thrown.
 */
export function serviceClient<M extends Methods>(
  service: Service<M>,
  client: TtrpcClient,
  fromError: (error: unknown) => unknown = (error) => error,
): ServiceClient<M> {
  const calls = Object.entries(service.methods).map(([key, method]) => {
    const call = async (input: unknown, options?: CallOptions): Promise<unknown> => {
      try {
        const payload = method.input.encode(input)
        return method.output.decode(await client.call(service.name, method.name, payload, options))
      } catch (error) {
        throw fromError(error)
      }
    }
    return [key, call] as const
  })
  return Object.fromEntries(calls) as ServiceClient<M>
}

/** One service and what answers it, for `handlersOf`. */
export interface Registration {
  readonly name: string
  readonly methods: ReadonlyMap<string, Handler>
}

/** Binds typed handlers to a service. */
export function register<M extends Methods>(
  service: Service<M>,
  handlers: ServiceHandlers<M>,
): Registration {
  const methods = new Map<string, Handler>()
  for (const [key, method] of Object.entries(service.methods)) {
    const handle = handlers[key] as (input: unknown, context: CallContext) => Promise<unknown>
    methods.set(method.name, async (payload, context) =>
      method.output.encode(await handle.call(handlers, method.input.decode(payload), context)),
    )
  }
  return { name: service.name, methods }
}

/** The dispatch table of several services on one connection. */
export function handlersOf(...registrations: readonly Registration[]): Handlers {
  return new Map(registrations.map(({ name, methods }) => [name, methods] as const))
}
