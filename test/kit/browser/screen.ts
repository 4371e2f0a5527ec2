import type { Page } from 'playwright-core'

/** Fills a page with a VNC stream by noVNC, as a page does that has a token; resolves when noVNC has connected. */
export async function showScreen(page: Page, url: string, token: string): Promise<void> {
  const bearer = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`
  // Text, because the types of a browser are not among those that the tests are checked with.
  await page.evaluate(`import('/test/@novnc/novnc/core/rfb.js').then(({ default: RFB }) => new Promise((resolve, reject) => {
    document.body.replaceChildren()
    document.body.style.height = '600px'
    const options = { wsProtocols: ${JSON.stringify([bearer, 'plain.kubevirt.io'])} }
    const rfb = new RFB(document.body, ${JSON.stringify(url)}, options)
    rfb.addEventListener('connect', () => { rfb.focus(); resolve() })
    rfb.addEventListener('disconnect', ({ detail }) => reject(new Error(JSON.stringify(detail))))
  }))`)
}

/** The picture that noVNC shows: its size, and how many of its pixels are not black. */
export function pictureOf(page: Page): Promise<{ width: number; height: number; lit: number }> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('canvas')
    const { width, height } = canvas
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
    let lit = 0
    for (let i = 0; i < data.length; i += 4) if (data[i] + data[i + 1] + data[i + 2] > 0) lit++
    return { width, height, lit }
  })()`)
}
