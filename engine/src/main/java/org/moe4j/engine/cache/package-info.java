/** Keys and values of sequences: pages, shared by all that begin alike, within a budget. */
@NullMarked
package org.moe4j.engine.cache;

import org.jspecify.annotations.NullMarked;
