/** Checkpoints as Hugging Face folders: configurations, tensor names, loading and saving. */
@NullMarked
package org.moe4j.models.hf;

import org.jspecify.annotations.NullMarked;
