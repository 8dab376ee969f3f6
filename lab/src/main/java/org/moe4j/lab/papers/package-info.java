/** The experiments, one file a system of the reading list. */
@NullMarked
package org.moe4j.lab.papers;

import org.jspecify.annotations.NullMarked;
