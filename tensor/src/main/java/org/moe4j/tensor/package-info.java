/**
 * A thin functional face on libtorch: tensors, scopes, seeded randomness, own gradients and the
 * safetensors format.
 */
@NullMarked
package org.moe4j.tensor;

import org.jspecify.annotations.NullMarked;
