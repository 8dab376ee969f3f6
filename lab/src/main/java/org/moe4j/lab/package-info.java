/** The executable reading list: experiments as data, their runs, verdicts and pages. */
@NullMarked
package org.moe4j.lab;

import org.jspecify.annotations.NullMarked;
