/** What a model takes of memory and disk and how fast it will be, said from its header alone. */
@NullMarked
package org.moe4j.engine.plan;

import org.jspecify.annotations.NullMarked;
