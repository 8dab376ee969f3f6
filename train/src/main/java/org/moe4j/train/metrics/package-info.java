/** The numbers of a run as it goes: JSON lines and TensorBoard event files. */
@NullMarked
package org.moe4j.train.metrics;

import org.jspecify.annotations.NullMarked;
