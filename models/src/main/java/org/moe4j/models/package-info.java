/** Language models built from the core: blocks, families and their Hugging Face layouts. */
@NullMarked
package org.moe4j.models;

import org.jspecify.annotations.NullMarked;
