/**
 * Training data: text sources, byte-level BPE, token datasets with resumable sampling, and the
 * byte-model baselines a language model is compared with.
 */
@NullMarked
package org.moe4j.train.data;

import org.jspecify.annotations.NullMarked;
