/** Decoders as GGUF files, which llama.cpp and the engine run. */
@org.jspecify.annotations.NullMarked
package org.moe4j.models.gguf;
