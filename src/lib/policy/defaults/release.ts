/** Default release policy: which enclave may read which resource. */
export const RELEASE_DEFAULT = `// Which enclave may read which resource.

@id("release-own-namespace")
permit (principal, action == Action::"read", resource)
when {
  principal.program == "agent" &&
  context.status == "affirming" &&
  context.namespace == resource.namespace
};

// The init enclave receives what it needs from the agent, never from the broker.
@id("release-not-init")
forbid (principal, action == Action::"read", resource)
when { principal.isvProdId == 2 };

@id("release-no-debug")
forbid (principal, action == Action::"read", resource)
when { principal.debug };
`
