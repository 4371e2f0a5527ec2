/** A DNS subdomain as Kubernetes allows it (RFC 1123): its longest length in characters, and the rule in Kubernetes' words. */
export const dnsSubdomain = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  rule: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  max: 253,
} as const

/** A DNS label, one part of such a name. */
export const dnsLabel = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  rule: "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
  max: 63,
} as const

/** The errors in a name, in Kubernetes' words. */
export function nameProblems(name: string, { pattern, rule, max }: typeof dnsSubdomain | typeof dnsLabel): string[] {
  if (name.length > max) return [`must be no more than ${max} characters`]
  return pattern.test(name) ? [] : [rule]
}
