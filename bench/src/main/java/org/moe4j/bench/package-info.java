/** JMH benchmarks of the heart. */
@NullMarked
package org.moe4j.bench;

import org.jspecify.annotations.NullMarked;
