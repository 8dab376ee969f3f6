/**
 * Routed experts on disk behind a cache in memory: read ahead of their use where the next layer's
 * choice can be guessed (Eliseev and Mazur, 2023, section 3).
 */
@NullMarked
package org.moe4j.engine.offload;

import org.jspecify.annotations.NullMarked;
