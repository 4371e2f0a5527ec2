const utf8 = new TextEncoder()

/** The base64 of a text's UTF-8 bytes. */
export function toBase64(text: string): string {
  return btoa(Array.from(utf8.encode(text), (byte) => String.fromCharCode(byte)).join(''))
}

/** The text whose UTF-8 bytes a base64 text stands for. @throws DOMException for what is no base64 */
export function fromBase64(base64Text: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64Text), (letter) => letter.charCodeAt(0)))
}

/** The bytes that a base64 text stands for, line breaks aside; undefined for what is no base64. */
export function decodeBase64(base64Text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(base64Text), (letter) => letter.charCodeAt(0))
  } catch {
    return undefined
  }
}
