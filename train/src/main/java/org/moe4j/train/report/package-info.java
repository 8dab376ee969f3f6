/** What became of a run, for reading: which experts do what, and one page with all of it. */
@NullMarked
package org.moe4j.train.report;

import org.jspecify.annotations.NullMarked;
