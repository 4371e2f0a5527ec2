/** How many times as long as usual everything may take: long rounds have more guests on the same processors (tools/soak.ts). */
export const patience = Number(process.env.PATIENCE ?? 1)
