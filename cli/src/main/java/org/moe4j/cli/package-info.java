/** The command line: parse, call, print. */
@NullMarked
package org.moe4j.cli;

import org.jspecify.annotations.NullMarked;
