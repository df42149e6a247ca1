// The studio's Content-Security-Policy: its own scripts, its own images and those it makes, and fetches of weights and
// images from any address. No inline scripts or styles, no eval, no WebAssembly, no frames, no form submissions.
//
// The build writes it into index.html as a meta element. Workers take their policy from response headers only, and
// `frame-ancestors` works in headers only, so the README gives a header for hosts that can send one.

/** The value of the Content-Security-Policy header, or of its meta element. */
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
