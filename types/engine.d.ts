// For TypeScript 5, whose library has no WebGPU; later ones would find it twice.
/// <reference types="@webgpu/types" />

export * from '../dist/engine.ts'
