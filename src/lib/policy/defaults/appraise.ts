/** Default appraise policy: which evidence is acceptable. */
export const APPRAISE_DEFAULT = `// Which evidence is acceptable. Signatures, certificates, revocation and the trusted root are
// checked before any policy and cannot be switched off here.

@id("appraise-known-enclave")
permit (principal, action == Action::"appraise", resource)
when { principal.program == "agent" };

@id("appraise-no-debug")
forbid (principal, action == Action::"appraise", resource)
when { principal.debug };

@id("appraise-tcb-up-to-date")
forbid (principal, action == Action::"appraise", resource)
unless { ["UpToDate", "SWHardeningNeeded"].contains(context.tcbStatus) };

@id("appraise-init-data-bound")
forbid (principal, action == Action::"appraise", resource)
unless { context.initData.present && context.initData.namespace != "" };

@id("appraise-this-broker")
forbid (principal, action == Action::"appraise", resource)
unless { context.initData.thisBroker };
`
