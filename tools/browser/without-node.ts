import { isBuiltin, registerHooks } from 'node:module'

// Loaded before a program, makes of Node what a browser has: its modules cannot be imported any more and its globals are gone.
registerHooks({
  resolve(specifier, context, next) {
    if (isBuiltin(specifier)) throw new Error(`${context.parentURL} imports ${specifier}, which no browser has`)
    return next(specifier, context)
  },
})

for (const name of ['process', 'Buffer', 'global', 'setImmediate', 'clearImmediate'])
  Reflect.deleteProperty(globalThis, name)
