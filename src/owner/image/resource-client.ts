/** The resources of a broker, as its owner reads and writes them. */
export interface ResourceClient {
  /** Raw bytes of a resource `kbs:///namespace/type/tag`; undefined if it does not exist. */
  get(uri: string): Promise<Uint8Array | undefined>
  /** Creates the resource; one that exists already stays as it is. */
  create(uri: string, bytes: Uint8Array): Promise<void>
}

/** Connects on first use, so that commands that name no `kbs:///` need no broker. */
export type ResourceClientFactory = () => Promise<ResourceClient>
