/**
 * The document for a library that styles itself by style elements, which the page's policy does not allow: each one it makes
 * stands for a style sheet that is made at run time, which the policy does allow.
 */
export function styleDocument(): Document {
  return new Proxy(document, {
    get(target, name) {
      if (name === 'createElement')
        return (tag: string) => (tag === 'style' ? styleElement() : target.createElement(tag))
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** An element whose text is a style sheet of the document as long as the element is there. */
function styleElement(): HTMLElement {
  const element = document.createElement('span')
  element.hidden = true
  const sheet = new CSSStyleSheet()
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  let text = ''
  Object.defineProperty(element, 'textContent', {
    get: () => text,
    set: (next: string) => {
      text = next
      sheet.replaceSync(next)
    },
  })
  const remove = element.remove.bind(element)
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet)
    remove()
  }
  return element
}
