/** Default launch policy: what may run, and what the host may change. */
export const LAUNCH_DEFAULT = `// What may run, and what the host may change about it.

@id("launch-signed")
permit (principal, action == Action::"run", resource)
when { principal.signed };

@id("launch-keys-of-namespace")
permit (principal, action == Action::"use-key", resource)
when {
  principal.signed &&
  context.namespace == resource.namespace &&
  ["image-kek", "decryption-key"].contains(resource.type)
};

// Development only: the host of a simulated platform can read memory anyhow. What images may use as
// a key is left out, so that no name serves both: another type as key needs a rule of its own above.
@id("launch-reveal-simulated")
permit (principal, action == Action::"reveal", resource)
when {
  context.platform == "simulated" &&
  context.namespace == resource.namespace &&
  !(["image-kek", "decryption-key", "credential"].contains(resource.type))
};

// The writable layer on the disk of the node, encrypted. Its loop device shows it to root of the node:
// without this rule it is in memory (tmpfs), which no device shows.
@id("launch-scratch-disk")
permit (principal, action == Action::"set-scratch", resource)
when { context.kind == "disk" };

// Everything else the host asks for is refused. To allow, for example, one variable:
//   @id("my-log-level")
//   permit (principal, action == Action::"set-env", resource) when { context.name == "LOG_LEVEL" };
`
