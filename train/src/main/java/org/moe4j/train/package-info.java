/** Training: optimiser, schedule, checkpoints, metrics and reports. */
@NullMarked
package org.moe4j.train;

import org.jspecify.annotations.NullMarked;
