// Matrix product in single precision.
#define REAL float
#define NAME "matmul32"
#include "matmul.h"
