// What the page may do, as a Content-Security-Policy: run its own scripts, show its own pictures and those it makes, and
// fetch weights and images from where it is told to. No inline scripts or styles, no eval, no WebAssembly, no frames, no
// forms that go anywhere.
//
// The build puts it into index.html. Workers obey headers alone, so a host that can send some sends it as one, too, with
// `frame-ancestors`, which a page can't say of itself (see the README).

export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "connect-src 'self' https: http: data: blob:",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')
